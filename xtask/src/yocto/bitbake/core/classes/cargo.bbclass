# Of the class of this name, what other recipes and tasks hang on.
B = "${WORKDIR}/build"
BUILD_MODE = "--release"
BUILD_DIR = "release"
CARGO_TARGET_SUBDIR = "${RUST_HOST_SYS}/${BUILD_DIR}"
CARGO_BUILD_FLAGS = "-v --frozen ${BUILD_MODE}"
