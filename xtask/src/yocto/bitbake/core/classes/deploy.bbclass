# Of the class of this name, what other recipes and tasks hang on.
DEPLOYDIR = "${WORKDIR}/deploy-${PN}"
do_deploy() {
    :
}
