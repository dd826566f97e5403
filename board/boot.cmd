# What U-Boot does on a board with Porthole. docs/design/board.md has the states; Linux writes them too.
#
# The state is one sector, a block as `env export -c` makes it (CRC-32, then NAME=VALUE texts), in two copies: only the older copy is
# ever written, so that a write which a power cut tears leaves the newer one.
#
#   p_seq     grows with every write; the copy with the larger one counts
#   p_active  the slot that is known to work: a or b
#   p_trial   the slot that is being tried, or none
#   p_tries   how often it may still be started

setenv newest 0
setenv older 0x1000
setenv active a
setenv trial none
setenv tries 0
for copy in 0x1000 0x3000; do
    setenv p_seq
    if ${devtype} read ${pxefile_addr_r} ${copy} 1; then
        if env import -c ${pxefile_addr_r} 0x200; then
            if test ${p_seq} -gt ${newest}; then
                setenv newest ${p_seq}
                setenv active ${p_active}
                setenv trial ${p_trial}
                setenv tries ${p_tries}
                if test ${copy} = 0x1000; then setenv older 0x3000; else setenv older 0x1000; fi
            fi
        fi
    fi
done

setenv slot ${active}
setenv trying 0
if test ${trial} = a || test ${trial} = b; then
    if test ${tries} -gt 0; then
        setexpr tries ${tries} - 1
        setexpr next ${newest} + 1
        setenv p_seq 0x${next}
        setenv p_active ${active}
        setenv p_trial ${trial}
        setenv p_tries ${tries}
        # Who cannot count must not try: it might never end.
        if env export -c -s 0x200 ${pxefile_addr_r} p_seq p_active p_trial p_tries; then
            if ${devtype} write ${pxefile_addr_r} ${older} 1; then
                setenv slot ${trial}
                setenv trying 1
            fi
        fi
    fi
fi

# U-Boot for QEMU does not name its console.
if test -z "${console}"; then setenv console ttyAMA0; fi

# The slot, and if it cannot be read, the other one. A variable of the loop hides behind one of the environment with the same name.
if test ${slot} = a; then setenv slots "a b"; else setenv slots "b a"; fi
for which in ${slots}; do
    setenv slot ${which}
    if test ${slot} = a; then setenv part 2; else setenv part 3; fi
    if load ${devtype} ${devnum}:${part} ${kernel_addr_r} kernel; then
        setenv fdt ${fdtcontroladdr}
        if test -n "${fdtfile}"; then
            if load ${devtype} ${devnum}:${part} ${fdt_addr_r} ${fdtfile}; then setenv fdt ${fdt_addr_r}; fi
        fi
        if load ${devtype} ${devnum}:${part} ${ramdisk_addr_r} initrd; then
            setenv bootargs "console=${console} panic=5 fsck.repair=yes quiet porthole.slot=${slot} porthole.trying=${trying}"
            bootz ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${fdt}
        fi
    fi
    setenv trying 0
done
echo Porthole: neither slot can be started
reset
