"""`python -m selfinstruct` is `selfinstruct`."""

from selfinstruct.cli import main

if __name__ == "__main__":
    main()
