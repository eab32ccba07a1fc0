"""DIMSE services over TCP: associations, C-ECHO, C-FIND, C-GET.

pydicom and pynetdicom supply the tables of transfer syntaxes, SOP classes, elements and character sets. Sockets,
timers, codecs and the loop that moves bytes are ours; :mod:`.transport`, :mod:`.negotiation` and
:mod:`.identifier` say why.
"""
