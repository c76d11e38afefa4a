"""What happens to a voice on its way to a microphone and over a line, one file an effect.

voices.py    another voice from the same clip: speed and formants
rooms.py     reverberation, by simulated rooms
noise.py     coloured noise and babble, at a signal-to-noise ratio
channel.py   a random channel response
codecs.py    real codecs and the telephone band
render.py    the chain over a waveform: a clip -> its versions, rendered once
mel.py       what is cheap enough to draw anew for every crop, in the log-mel domain
"""
