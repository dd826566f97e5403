SUMMARY = "Camera with a live view on the LAN and recordings that are not lost"
DESCRIPTION = "Shows the picture and sound of a camera to browsers and players, records them all the time, \
and sends the recordings to a host with an SSH server."
SECTION = "multimedia"

inherit cargo pkgconfig systemd useradd externalsrc

# Both are made by `cargo xtask yocto`.
require porthole-edge-crates.inc
require porthole-edge-licences.inc

EXTERNALSRC = "${@os.path.realpath(d.getVar('PORTHOLE_SOURCE'))}"

# libclang reads the headers of V4L2. Without nasm the codec for x86 is three times slower.
DEPENDS += "alsa-lib openssl clang-native"
DEPENDS:append:x86-64 = " nasm-native"
export LIBCLANG_PATH = "${STAGING_LIBDIR_NATIVE}"
export BINDGEN_EXTRA_CLANG_ARGS = "--target=${TARGET_SYS} --sysroot=${STAGING_DIR_HOST}"

# As small as for a board of ours; what is stripped here is packaged for debuggers.
BUILD_MODE = "--profile board"
BUILD_DIR = "board"
export CARGO_PROFILE_BOARD_STRIP = "none"
CARGO_BUILD_FLAGS:append = " --package edge --bin porthole-edge"

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/porthole-edge ${D}${bindir}/porthole-edge
    install -D -m 0644 ${S}/edge/systemd/porthole-edge.service ${D}${systemd_system_unitdir}/porthole-edge.service
    install -D -m 0644 ${S}/edge/systemd/60-porthole.rules ${D}${nonarch_base_libdir}/udev/rules.d/60-porthole.rules
}

# The ring is in /run/porthole, in RAM; what is kept is in /var/lib/porthole.
SYSTEMD_SERVICE:${PN} = "porthole-edge.service"
USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --user-group --no-create-home --home-dir /var/lib/porthole --shell /usr/sbin/nologin --groups audio,video porthole"
FILES:${PN} += "${systemd_system_unitdir} ${nonarch_base_libdir}/udev"
RRECOMMENDS:${PN} = "kernel-module-uvcvideo kernel-module-snd-usb-audio"
