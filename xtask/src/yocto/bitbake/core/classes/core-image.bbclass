# Of the class of this name, what other recipes and tasks hang on.
do_rootfs() {
    :
}
do_image_squashfs_xz() {
    :
}
do_image_slot() {
    :
}
do_image_wic() {
    :
}
do_image_complete() {
    :
}
addtask rootfs after do_install
addtask image_squashfs_xz after do_rootfs
addtask image_slot after do_image_squashfs_xz
addtask image_wic after do_image_slot
addtask image_complete after do_image_wic before do_build
do_rootfs[rdeptask] = "do_package"
python () {
    install = d.getVar('PACKAGE_INSTALL') or d.getVar('IMAGE_INSTALL')
    d.setVar('RDEPENDS:' + d.getVar('PN'), install)
}
