dist_man_MANS += man/hale.8 man/hale-config.5
