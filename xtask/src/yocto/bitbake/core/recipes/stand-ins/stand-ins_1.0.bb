SUMMARY = "What OpenEmbedded, a machine's layer and meta-clang bring"
LICENSE = "MIT"
PROVIDES += " \
    alsa-lib \
    clang-native \
    dosfstools-native \
    mtools-native \
    nasm-native \
    openssl \
    u-boot-mkimage-native \
    virtual/kernel \
"
PACKAGES += " \
    busybox \
    e2fsprogs-e2fsck \
    e2fsprogs-mke2fs \
    kernel-modules \
    packagegroup-core-boot \
    tzdata \
    wpa-supplicant \
"
PACKAGES_DYNAMIC = "^kernel-module-.*"
do_deploy() {
    :
}
addtask deploy after do_compile before do_build
