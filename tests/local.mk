# Unit tests are cmocka programs; each links the libraries that it tests through UNIT_LDADD.
UNIT_LDADD = src/libmaster.a src/libworker.a src/libprober.a src/libshared.a $(HALE_LIBS) $(CMOCKA_LIBS)
