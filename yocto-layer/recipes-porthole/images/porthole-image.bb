SUMMARY = "The appliance as somebody flashes it: two slots, a root file system that is never written, a data partition"
LICENSE = "MIT"

inherit core-image

IMAGE_INSTALL = " \
    packagegroup-core-boot \
    porthole-edge \
    porthole-board \
    e2fsprogs-e2fsck \
    e2fsprogs-mke2fs \
    kernel-modules \
    wpa-supplicant \
"
IMAGE_FEATURES = "read-only-rootfs"
IMAGE_LINGUAS = ""
IMAGE_FSTYPES = "wic.xz wic.bmap"
WKS_FILE = "${PORTHOLE_LAYER}/files/wic/porthole.wks.in"
WICVARS:append = " IMGDEPLOYDIR IMAGE_NAME PORTHOLE_LOADER"
# The machine's own line of the wks file: where its boot loader lies, if that is on the card.
PORTHOLE_LOADER ??= ""

# What an update is called: a board takes newer ones only.
PORTHOLE_VERSION = "0.1.0"
PORTHOLE_RELEASE ??= "0"

# A slot has all that a version is: kernel, RAM disk, device trees, and the root file system as one file.
IMAGE_TYPES += "slot"
IMAGE_TYPEDEP:slot = "squashfs-xz"
IMAGE_TYPEDEP:wic = "slot"
do_image_slot[depends] += " \
    dosfstools-native:do_populate_sysroot \
    mtools-native:do_populate_sysroot \
    virtual/kernel:do_deploy \
    porthole-initramfs-image:do_image_complete \
"
do_image_wic[depends] += "porthole-boot:do_deploy"
IMAGE_CMD:slot () {
    slot=${IMGDEPLOYDIR}/${IMAGE_NAME}.slot
    rm -f $slot
    truncate --size=48M $slot
    mkfs.vfat --invariant -F 16 -n PORTHOLE-OS $slot
    printf 'board=%s\nversion=%s+%s\n' ${MACHINE} ${PORTHOLE_VERSION} ${PORTHOLE_RELEASE} > $slot.release
    mcopy -m -i $slot $slot.release ::/release
    mcopy -m -i $slot ${DEPLOY_DIR_IMAGE}/${KERNEL_IMAGETYPE} ::/kernel
    mcopy -m -i $slot ${DEPLOY_DIR_IMAGE}/porthole-initramfs-image-${MACHINE}.cpio.xz ::/initrd
    for tree in ${KERNEL_DEVICETREE}; do
        mcopy -m -i $slot ${DEPLOY_DIR_IMAGE}/$(basename $tree) ::/
    done
    mcopy -m -i $slot ${IMGDEPLOYDIR}/${IMAGE_NAME}.squashfs-xz ::/root.squashfs
}

# The signature by which the first program knows the disk: 48545250.
IMAGE_CMD:wic:append () {
    printf PRTH | dd of=$out.wic bs=1 seek=440 conv=notrunc
}

# The table of mounts is the appliance's own, and the time zone is what its owner sets.
porthole_mounts () {
    install -m 0644 ${PORTHOLE_SOURCE}/board/rootfs/etc/fstab ${IMAGE_ROOTFS}${sysconfdir}/fstab
    cp --no-dereference --remove-destination ${PORTHOLE_SOURCE}/board/rootfs/etc/localtime ${IMAGE_ROOTFS}${sysconfdir}/localtime
    install -d ${IMAGE_ROOTFS}/boot ${IMAGE_ROOTFS}/var/lib/porthole
}
ROOTFS_POSTPROCESS_COMMAND += "porthole_mounts"
