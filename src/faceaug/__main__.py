"""python -m faceaug."""

from faceaug.cli import main

if __name__ == "__main__":
    main()
