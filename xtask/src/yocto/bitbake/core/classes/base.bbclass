# The tasks that every recipe has. What a recipe takes must be there, and it must name its licence.
addtask fetch
addtask unpack after do_fetch
addtask patch after do_unpack
addtask configure after do_patch
addtask compile after do_configure
addtask install after do_compile
addtask populate_sysroot after do_install
addtask package after do_install
addtask build after do_package do_populate_sysroot
do_configure[deptask] = "do_populate_sysroot"
do_build[rdeptask] = "do_package"
do_fetch() {
    :
}
do_unpack() {
    :
}
do_patch() {
    :
}
do_configure() {
    :
}
do_compile() {
    :
}
do_install() {
    :
}
do_populate_sysroot() {
    :
}
do_package() {
    :
}
do_build() {
    :
}
python () {
    import bb.fetch2
    for uri in (d.getVar('SRC_URI') or '').split():
        ud = bb.fetch2.FetchData(uri, d)
        if ud.type == 'file':
            bb.fetch2.Fetch([uri], d, cache=False).localpath(uri)
    licence = d.getVar('LICENSE')
    if not licence:
        bb.fatal("no LICENSE")
}
