#!/bin/sh
# Checks every row of the handshake's model: six must hold, six known-bad variants must fail. Needs spin and gcc; about 45 s.
set -u
model=$(cd "$(dirname "$0")" && pwd)/upload.pml
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
bad=0

# row ERRORS NAME FLAGS...: the number of errors that the row must have.
row() {
  want=$1 name=$2
  shift 2
  mkdir "$folder/$name" && cd "$folder/$name" || exit 1
  spin "$@" -a "$model" >/dev/null 2>&1
  gcc -O2 -DSAFETY -DCOLLAPSE -w -o pan pan.c && ./pan -m200000 >out.txt 2>&1
  got=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' out.txt)
  states=$(sed -n 's/ *\([0-9.e+]*\) states, stored.*/\1/p' out.txt)
  [ "$got" = "$want" ] || bad=1
  printf '%-34s want %s got %s  %s states\n' "$name" "$want" "$got" "$states"
}

row 0 ours
row 0 ours_two_power_cuts          -DRCRASH=2 -DDROPS=1 -DWCRASH=0
row 0 ours_edge_never_returns      -DEDGE_DIES -DDROPS=1
row 0 our_edge_shell_workers       -DSCRIPT_WORKER -DRCRASH=0 -DWCRASH=0
row 0 our_edge_mixed_workers       -DMIXED -DRCRASH=0 -DWCRASH=1
row 0 shell_edge_our_remote        -DSCRIPT_EDGE -DDURABLE_RM -DNOLIVE
row 1 BAD_ours_without_fsync       -DNOFSYNC
row 1 BAD_shell_edge_plain_rm      -DSCRIPT_EDGE -DNOLIVE
row 1 BAD_script_rerun_after_drop  -DSCRIPT_EDGE -DSCRIPT_EDGE_RETRY -DSCRIPT_WORKER -DRCRASH=0 -DWCRASH=0 -DNOLIVE -DDROPS=1 -DECRASH=0
row 1 BAD_script_power_cut         -DSCRIPT_EDGE -DSCRIPT_WORKER -DWCRASH=0 -DDROPS=0 -DECRASH=0 -DNOLIVE
row 1 BAD_script_one_drop_is_stuck -DSCRIPT_EDGE -DSCRIPT_WORKER -DRCRASH=0 -DWCRASH=0 -DDROPS=1 -DECRASH=0
row 1 BAD_our_edge_shell_power_cut -DSCRIPT_WORKER -DWCRASH=0 -DNOLIVE
exit $bad
