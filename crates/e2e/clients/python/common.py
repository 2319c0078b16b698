"""What the scripts share."""

import sys

# It answers on port 8080, and writes a last line when a file says that it is enough.
SCRIPT = """
mkdir -p /tmp/www; echo forwarded > /tmp/www/page; echo first
/usr/bin/python3 -m http.server 8080 --bind 127.0.0.1 --directory /tmp/www > /dev/null 2>&1 &
until [ -e /tmp/enough ]; do sleep 0.05; done
kill $!; echo last
"""

# Ends when it answers.
LISTENS = ["sh", "-c", 'until grep -q ":1F90 " /proc/net/tcp; do sleep 0.05; done']


def step(name):
    print(name, flush=True)


def expect(holds, found):
    if not holds:
        sys.exit(f"not as expected: {found}")
