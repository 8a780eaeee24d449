"""The papers' figures, from run folders and score files in the authors' format.

``commands`` is the command line, ``catalogue`` the list of figures and their options. Reading
(``scores``, ``run_folders``, ``collection``) and averaging (``aggregation``, ``references``) need
NumPy only; each kind of figure is drawn by a module of its own with matplotlib, and ``statistics``
calls rliable: the extra ``figures``. TensorFlow is never loaded.
"""
