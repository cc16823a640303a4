"""``python -m lorasdk``."""

from lorasdk.cli import main

if __name__ == "__main__":
    main()
