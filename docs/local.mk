dist_doc_DATA += docs/architecture.md docs/operations.md docs/probing.md
dist_doc_DATA += docs/config.md docs/dependencies.md docs/hacking.md docs/performance.md
dist_doc_DATA += docs/architecture.md docs/http.md docs/operations.md docs/probing.md
dist_doc_DATA += docs/config.md
dist_doc_DATA += docs/health-table.md
dist_doc_DATA += README.md NEWS CONTRIBUTING.md docs/testing.md
EXTRA_DIST += bootstrap .ci/run
