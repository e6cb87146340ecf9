# Examples, installed beside the documentation: a package or a person puts the real file to /etc/hale/config.yaml.
examplesdir = $(docdir)/examples
dist_examples_DATA = etc/hale.yaml etc/demo.yaml etc/haproxy.cfg.example
