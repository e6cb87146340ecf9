# The unit names the installed program, so it is made at build time; the configuration is always /etc/hale/config.yaml.
systemd/hale.service: systemd/hale.service.in Makefile
	@$(MKDIR_P) systemd
	$(AM_V_GEN)sed -e 's|@bindir[@]|$(bindir)|g' $(top_srcdir)/systemd/hale.service.in >$@.tmp && mv $@.tmp $@

EXTRA_DIST += systemd/hale.service.in systemd/hale.socket systemd/hale.sysusers.conf
CLEANFILES += systemd/hale.service

if HAVE_SYSTEMD_DIR
systemdunitdir = $(systemdsystemunitdir)
systemdunit_DATA = systemd/hale.socket
nodist_systemdunit_DATA = systemd/hale.service
sysusersdir = $(prefix)/lib/sysusers.d

# sysusers.d knows files by their name, and ours is called hale.conf there.
install-data-hook:
	$(MKDIR_P) '$(DESTDIR)$(sysusersdir)'
	$(INSTALL_DATA) $(top_srcdir)/systemd/hale.sysusers.conf '$(DESTDIR)$(sysusersdir)/hale.conf'

uninstall-hook:
	rm -f '$(DESTDIR)$(sysusersdir)/hale.conf'
endif
