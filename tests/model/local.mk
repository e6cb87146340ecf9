# Model checks run on demand; a checker that is not installed is named, and the others run.
EXTRA_DIST += tests/model/run-model.sh tests/model/htable.pml tests/model/seqslot_genmc.c tests/model/adopt_genmc.c
check-model:
	@CC='$(CC)' sh $(srcdir)/tests/model/run-model.sh $(srcdir); rc=$$?; \
	if test $$rc -eq 77; then echo "SKIP check-model: no model checker is installed"; else exit $$rc; fi
.PHONY: check-model
