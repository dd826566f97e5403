"""Reads the layer with bitbake's own parser, and prints every task of the image: python3 tasks.py BUILD CORE LAYER IMAGE.

bitbake's library must be on the path. It is run in this process: what starts servers and workers is not in the package of it.
"""

import os
import sys
import types

build, core, layer, image = sys.argv[1:]
for name in ["hashserv", "hashserv.client", "prserv", "prserv.serv"]:
    sys.modules[name] = types.ModuleType(name)
sys.modules["prserv"].serv = sys.modules["prserv.serv"]

os.makedirs(f"{build}/conf")
with open(f"{build}/conf/bblayers.conf", "w") as conf:
    conf.write(f'BBPATH = "${{TOPDIR}}"\nBBFILES = ""\nBBLAYERS = "{core} {layer}"\n')
os.chdir(build)

import bb.cooker
import bb.cookerdata
import bb.main
import bb.runqueue

cooker = bb.cooker.BBCooker([], None)
options = bb.main.BitBakeConfigParameters(["bitbake"]).options
for name, value in vars(options).items():
    if not hasattr(cooker.configuration, name):
        setattr(cooker.configuration, name, value)
cooker.configuration.env = dict(os.environ)
cooker.configuration.profile = []
cooker.initConfigurationData()
while cooker.updateCache():
    pass
wanted, targets = cooker.buildTaskData([image], "build", False)
queue = bb.runqueue.RunQueue(cooker, cooker.data, cooker.recipecaches, wanted, targets)
queue.rqdata.prepare()
for task in sorted(queue.rqdata.runtaskentries):
    print("task", os.path.basename(task))
