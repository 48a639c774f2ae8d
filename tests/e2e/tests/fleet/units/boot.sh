#!/bin/sh
# Boots a systemd of its own over this machine's files, and changes none of them. It ends with this process.
#     boot.sh GIVEN GROUP UNIT
# GIVEN has prefix/ (what is installed), etc/ (files for /etc/pathspider), journals/ and units/. When GIVEN/stop is
# there, UNIT is stopped; what systemd says of it then is in GIVEN/ended. GROUP names the control groups.
set -e
given=$1 group=$2 unit=$3
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	groups=/sys/fs/cgroup
else
	groups="/sys/fs/cgroup/systemd /sys/fs/cgroup/unified"
fi
for folder in $groups; do
	[ -d "$folder" ] || continue
	mkdir -p "$folder/$group"
	echo $$ >"$folder/$group/cgroup.procs"
done
export given unit groups
exec unshare --pid --fork --kill-child --mount --uts --ipc --cgroup sh -ec '
mount --make-rprivate /
base=$given/base
mkdir "$base"
mount -t tmpfs -o mode=755 tmpfs "$base"
mkdir "$base/upper" "$base/work" "$base/root"
mount -t overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" overlay "$base/root"
cd "$base/root"
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do touch "dev/$node"; mount --bind "/dev/$node" "dev/$node"; done
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
# What it says goes there in place of the console of this machine.
: >"$given/said"
touch dev/console
mount --bind "$given/said" dev/console
mount -t sysfs sysfs sys 2>/dev/null || mount --rbind /sys sys
mountpoint -q sys/fs/cgroup || mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
if [ "$groups" = /sys/fs/cgroup ]; then
	mount -t cgroup2 cgroup2 sys/fs/cgroup
else
	mkdir -p sys/fs/cgroup/systemd sys/fs/cgroup/unified
	mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
	mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
fi
for folder in run tmp var; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
mkdir -p run/given run/systemd/system etc/pathspider var/lib var/tmp
mount --bind "$given" run/given
cp -r "$given/prefix" run/prefix
cp "$given"/etc/* etc/pathspider/
chmod 600 etc/pathspider/*.nk
cp -r "$given/journals" var/lib/pathspider
chmod 700 var/lib/pathspider
for file in "$given"/units/*.service; do
	name=$(basename "$file")
	sed s,@PREFIX@,/run/prefix, "$file" >"run/systemd/system/$name"
	# Of this machine nothing else is started, and no journal.
	mkdir -p "run/systemd/system/$name.d"
	printf "[Unit]\nDefaultDependencies=no\n[Service]\nStandardError=append:/run/given/said\n" \
		>"run/systemd/system/$name.d/alone.conf"
done
ln -s /dev/null run/systemd/system/network-online.target
printf "[Unit]\nDefaultDependencies=no\nWants=pathspider-restore.service %s\n" "$unit" \
	>run/systemd/system/given.target
mkdir run/before
pivot_root . run/before
umount -l /run/before
# In a container systemd leaves that to who starts it, and credentials reach units by it.
mount --make-rshared /
cd /run/given
(
	until [ -e stop ]; do sleep 0.1; done
	systemctl stop "$unit"
	systemctl show -p Result -p ExecMainStatus -p ActiveState "$unit" >ending
	systemctl show -p Result -p ExecMainStatus pathspider-restore >>ending
	mv ending ended
) &
exec env container=lxc /lib/systemd/systemd --system --unit=given.target --log-target=console
'
