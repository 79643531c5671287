"""`python -m tiktok_erp` is `tiktok-erp`."""

from tiktok_erp.cli.app import main

main()
