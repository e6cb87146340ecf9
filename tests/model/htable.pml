/* Model for spin: the protocol of one slot, sequentially consistent (the orders are GenMC's part).
 *
 * One writer that may be killed between any two stores, a master that starts the successor only after it has
 * reaped the first, a successor that repairs an odd slot, two readers with bounded tries.
 *
 * Must hold as it is. Must fail with
 *   -DTWO_WRITERS  the successor does not wait for the reaping
 *   -DNO_RECHECK   readers do not look at the sequence again
 *   -DNO_REPAIR    the successor leaves an odd slot as it found it and counts on from there
 */
byte seq = 0, a = 0, b = 0;
bool first_gone = false, finished = false;

proctype Writer(byte start; bool mortal) {
	byte v = start, k = 0, q;

	q = seq;
#ifndef NO_REPAIR
	if
	:: (q % 2 == 1) -> v = v + 1; a = v; b = v; seq = q + 1
	:: else
	fi;
#endif
	do
	:: k < 2 ->
		v = v + 1;
		q = seq;
		seq = q + 1;
		if :: mortal -> goto dead :: true fi;
		a = v;
		if :: mortal -> goto dead :: true fi;
		b = v;
		if :: mortal -> goto dead :: true fi;
		seq = q + 2;
		k++
	:: else -> break
	od;
dead:
	if :: mortal -> first_gone = true :: else -> finished = true fi
}

proctype Reader() {
	byte s, x, y, tries = 0;
	bool ok = false;

	do
	:: tries < 2 && !ok ->
		s = seq;
		if
		:: (s % 2 == 1) -> tries++
		:: else ->
			x = a;
			y = b;
#ifdef NO_RECHECK
			ok = true;
			assert(x == y)
#else
			if
			:: (seq == s) -> ok = true; assert(x == y)
			:: else -> tries++
			fi
#endif
		fi
	:: else -> break
	od
}

init {
	atomic { run Writer(10, true); run Reader(); run Reader() }
#ifndef TWO_WRITERS
	(first_gone);
#endif
	run Writer(20, false);
	(finished && first_gone);
	assert(seq % 2 == 0) /* after a clean successor the slot can be read again */
}
