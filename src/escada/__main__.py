"""`python -m escada`."""

from escada.cli import main

if __name__ == "__main__":
    main()
