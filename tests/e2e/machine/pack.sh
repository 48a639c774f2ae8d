#!/bin/sh
# Packs a small system for a virtual machine: pack.sh TARGET, the folder of the release build.
# Makes TARGET/machine/kernel, Debian's, and TARGET/machine/initrd, with pathspider, its plugins,
# the lab and what they need. Nothing is installed on this machine.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
mkdir -p machine
cd machine

[ "$(dpkg --print-architecture)" = amd64 ] || { echo "the virtual machine is an amd64" >&2; exit 1; }
if [ ! -e kernel ]; then
    image=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image\)/\1/p')
    rm -rf debian ./*.deb
    apt-get download -qq "$image"
    dpkg -x ./*.deb debian
    rm ./*.deb
    cp debian/boot/vmlinuz-* kernel
fi

rm -rf root
mkdir -p root/bin root/data root/dev root/proc root/run root/sys root/tmp root/usr/lib
install "$here/init" root/init
cp -r debian/lib root/lib
cp -r ../plugins root/usr/lib/pathspider
for program in ../pathspider ../pathspider-lab "$(command -v ip)" "$(command -v nft)"; do
    cp -L "$program" root/bin
    ldd "$program" | grep -o '/[^ ]*'
done | sort -u | while read -r library; do
    install -D "$library" "root$library"
done
busybox=$(command -v busybox)
cp "$busybox" root/bin
"$busybox" depmod -b root "$(ls root/lib/modules)"
(cd root && find . | "$busybox" cpio -o -H newc 2>/dev/null | gzip -1) >initrd
rm -rf root
