#!/bin/sh
# worker.sh INBOX OUTPUT hls|copy
# The plain convention, working: whatever NAME.mp4 has no NAME.lockfile gets one, is made into something, and both go.
set -u
inbox=$1 output=$2 work=$3

hls() {
    mkdir -p "$output/$2" &&
        ffmpeg -nostdin -loglevel error -y -i "$1" -c copy -f hls -hls_time 6 -hls_list_size 0 "$output/$2/$2.m3u8"
}

copy() {
    cp "$1" "$output/$2.unfinished" && mv "$output/$2.unfinished" "$output/$2.mp4"
}

while :; do
    idle=1
    for mp4 in "$inbox"/*.mp4; do
        name=$(basename "$mp4" .mp4)
        [ -e "$mp4" ] || continue
        [ -e "$inbox/$name.lockfile" ] && continue
        touch "$inbox/$name.lockfile"
        "$work" "$mp4" "$name" && rm -f "$mp4"
        rm -f "$inbox/$name.lockfile"
        idle=0
    done
    [ $idle = 0 ] || sleep 0.1
done
