"""``python -m dreamer_tf`` lists the commands; ``python -m dreamer_tf NAME …`` is one of them.

``python -m dreamer_tf completion`` prints what lets bash complete their words.
"""

import sys

from dreamer_tf.apps import overview

if __name__ == "__main__":
    overview.main(sys.argv[1:])
