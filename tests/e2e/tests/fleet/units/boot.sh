#!/bin/sh
# Boots a systemd of its own over this machine's files, of which it changes none. It ends with this process.
#     boot.sh GIVEN GROUP UNIT
# GIVEN has prefix/ (what is installed), etc/ (files for /etc/pathspider) and units/. When GIVEN/stop is there, UNIT
# is stopped; what systemd says of it then is in GIVEN/ended. GROUP names the control groups.
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
base=$(mktemp -d)
mount -t tmpfs -o mode=755 tmpfs "$base"
mkdir "$base/upper" "$base/work" "$base/root"
mount -t overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" overlay "$base/root"
cd "$base/root"
mount -t proc proc proc
mount --rbind /dev dev
# What it says goes there in place of the console of this machine.
: >"$given/said"
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
for file in "$given"/units/*.service; do
	name=$(basename "$file")
	sed s,@PREFIX@,/run/prefix, "$file" >"run/systemd/system/$name"
	# Of this machine nothing else is started.
	mkdir -p "run/systemd/system/$name.d"
	printf "[Unit]\nDefaultDependencies=no\n" >"run/systemd/system/$name.d/alone.conf"
done
ln -s /dev/null run/systemd/system/network-online.target
printf "[Unit]\nDefaultDependencies=no\nWants=pathspider-restore.service %s\n" "$unit" \
	>run/systemd/system/given.target
(
	until [ -e "$given/stop" ]; do sleep 0.1; done
	chroot . systemctl stop "$unit"
	chroot . systemctl show -p Result -p ExecMainStatus -p ActiveState "$unit" >"$given/ending"
	chroot . systemctl show -p Result -p ExecMainStatus pathspider-restore >>"$given/ending"
	mv "$given/ending" "$given/ended"
) &
exec env container=lxc chroot . /lib/systemd/systemd --system --unit=given.target --log-target=console
'
