"""Other projects' encoders as waveform encoders of ours: samples in, embeddings out, their front end inside."""
