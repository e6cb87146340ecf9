# The one binary. Order of libraries: the rooms first, what they share last.
bin_PROGRAMS += src/hale
src_hale_SOURCES = src/main.c
src_hale_LDADD = src/libmaster.a src/libworker.a src/libprober.a src/libcli.a src/libshared.a $(HALE_LIBS)
