# Of the class of this name, what other recipes and tasks hang on.
python () {
    source = d.getVar('EXTERNALSRC')
    if not source.startswith('/') or not os.path.exists(source + '/Cargo.lock'):
        bb.fatal("EXTERNALSRC: %s" % source)
    d.setVar('S', source)
}
