SUMMARY = "RAM disk of the appliance"
LICENSE = "MIT"

inherit core-image

PACKAGE_INSTALL = "porthole-initramfs"
IMAGE_FEATURES = ""
IMAGE_LINGUAS = ""
IMAGE_FSTYPES = "cpio.xz"
IMAGE_NAME_SUFFIX = ""
