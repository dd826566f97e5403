SUMMARY = "The boot partition: U-Boot's script, which chooses between the slots"

require recipes-porthole/porthole.inc

inherit deploy nopackages

SRC_URI += "file://board/boot.cmd"
DEPENDS = "dosfstools-native mtools-native u-boot-mkimage-native"

do_compile() {
    mkimage -A arm -T script -C none -d ${S}/board/boot.cmd boot.scr
    rm -f boot.vfat
    truncate --size=16M boot.vfat
    mkfs.vfat --invariant -F 16 -n PORTHOLE boot.vfat
    mcopy -m -i boot.vfat boot.scr ::/
}

do_deploy() {
    install -m 0644 ${B}/boot.vfat ${DEPLOYDIR}/porthole-boot.vfat
}
addtask deploy after do_compile before do_build
