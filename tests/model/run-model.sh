#!/bin/sh
# run-model.sh SRCDIR: model checks of the shared table. Each model must hold, and each of its mutations must fail:
# a check that cannot fail proves nothing. Exit 0, 1, or 77 when no checker is installed.
set -u
src=$(cd "$1" && pwd) || exit 1
cc=${CC:-cc}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
ran=0
failed=0

report() { # wanted(0|1) got name
	if [ "$1" -eq "$2" ]; then
		echo "PASS $3"
	else
		echo "FAIL $3"
		failed=1
	fi
}

spin_run() { # wanted name flags...
	wanted=$1 name=$2
	shift 2
	mkdir -p "$tmp/spin"
	(cd "$tmp/spin" && spin "$@" -a "$src/tests/model/htable.pml" && $cc -O2 -DSAFETY -DVECTORSZ=1024 -w -o pan pan.c &&
		./pan -m100000) >"$tmp/out" 2>&1
	if ! grep -q 'State-vector' "$tmp/out"; then
		cat "$tmp/out"
		echo "FAIL spin $name: the model did not run"
		failed=1
		return
	fi
	grep -q 'errors: 0' "$tmp/out"
	report "$wanted" $? "spin $name: $(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1 states/p' "$tmp/out")"
	grep -q 'search depth too small' "$tmp/out" && { echo "FAIL spin $name: not the whole space"; failed=1; }
	ran=1
}

genmc_run() { # wanted file model flags...
	wanted=$1 file=$2 model=$3
	shift 3
	genmc "$model" -- -I"$src/include" "$@" "$src/tests/model/$file" >"$tmp/out" 2>&1
	got=$?
	[ $got -ne 0 ] && got=1
	report "$wanted" $got "genmc $file $model $*"
	ran=1
}

if command -v spin >/dev/null; then
	spin_run 0 "htable.pml"
	spin_run 1 "htable.pml -DTWO_WRITERS (must fail)" -DTWO_WRITERS
	spin_run 1 "htable.pml -DNO_RECHECK (must fail)" -DNO_RECHECK
	spin_run 1 "htable.pml -DNO_REPAIR (must fail)" -DNO_REPAIR
else
	echo "SKIP spin: not installed (apt-get install spin)"
fi

if command -v genmc >/dev/null; then
	for model in --rc11 --imm; do
		genmc_run 0 seqslot_genmc.c $model
		for die in 0 1 2; do
			genmc_run 0 adopt_genmc.c $model -DDIE=$die
		done
		for order in MO_DATA_ST MO_DATA_LD MO_SEQ_END MO_SEQ_BEGIN_LD; do
			genmc_run 1 seqslot_genmc.c $model -D$order=memory_order_relaxed
		done
	done
else
	echo "SKIP genmc: not installed (not in Debian; https://github.com/MPI-SWS/genmc)"
fi

[ $ran -eq 1 ] || exit 77
exit $failed
