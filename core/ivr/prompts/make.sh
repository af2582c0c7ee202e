#!/bin/sh
# Makes the prompts: a folder a language, in it prompts.txt (name, tab, text)
# and the sound files, 16 kHz mono WAV at about -20 dBov, in mu-law to halve the
# size of the program; and the hold music.
# Needs espeak-ng and sox. A recorded voice can take the place of any file:
# run this for one language only (./make.sh de) or not at all.
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# rms FILE: its level in dB of full scale.
rms() { sox "$1" -n stats 2>&1 | awk '/^RMS lev dB/ { print $4 }'; }

# level IN OUT DB: brings IN to the level and 16 kHz.
level() {
	gain=$(rms "$1" | awk -v to="$3" '{ print to - $1 }')
	sox -D "$1" -e u-law -b 8 -c 1 -r 16000 "$2" gain -l "$gain"
}

# say LANGUAGE NAME TEXT
say() {
	case $1 in
	en) voice=en-us ;;
	*) voice=$1 ;;
	esac
	espeak-ng -v "$voice" -s 160 -g 1 -w "$tmp/raw.wav" "$3"
	# Without the pauses around it, and what a telephone cannot carry below.
	sox -D "$tmp/raw.wav" "$tmp/cut.wav" highpass 120 \
		silence 1 0.01 0.3% fade t 0.005 reverse \
		silence 1 0.01 0.3% fade t 0.01 reverse pad 0 0.06
	level "$tmp/cut.wav" "$1/$2.wav" -20
}

# note FREQUENCY START LENGTH N: one soft note of the music.
note() {
	sox -D -n -r 16000 -c 1 "$tmp/note$4.wav" \
		synth "$3" sine "$1" gain -18 fade q 0.4 "$3" "$(awk "BEGIN { print $3 - 0.5 }")" pad "$2"
}

# music: four chords of six notes, each dying away before the loop begins anew.
music() {
	n=0 start=0
	for chord in \
		"130.81 196.00 261.63 329.63 392.00 493.88" \
		"110.00 164.81 220.00 261.63 329.63 493.88" \
		"87.31 174.61 261.63 329.63 349.23 440.00" \
		"98.00 146.83 246.94 293.66 392.00 440.00"; do
		at=$start
		for f in $chord; do
			note "$f" "$at" 5 $n
			at=$(awk "BEGIN { print $at + 0.6 }") n=$((n + 1))
		done
		start=$((start + 5))
	done
	sox -D -m "$tmp"/note*.wav "$tmp/mix.wav" trim 0 24 fade t 0 24 0.2
	level "$tmp/mix.wav" music.wav -30
}

for lang in ${1:-en de}; do
	rm -f "$lang"/*.wav
	while IFS="$(printf '\t')" read -r name text; do
		say "$lang" "$name" "$text"
	done <"$lang/prompts.txt"
	du -bc "$lang"/*.wav | tail -n 1
done
music
