package toolchain

// The tables here are measurements and other people's words. They advise: a step carries them as
// notes, what is nearest is sorted by them, and nothing is refused because of them alone. An index of
// the user's own may serve builds that no table knows.

// torchFact is what the wheels of one PyTorch release on the default Python index were built for.
// Measured by resolving each for Linux x86_64 on 23 Nov 2026.
type torchFact struct{ torch, cuda, cudnn string }

func torchFacts() []torchFact {
	return []torchFact{
		{"1.13.1", "11.7.99", "8.5.0.96"},
		{"2.0.1", "11.7.99", "8.5.0.96"},
		{"2.2.2", "12.1.105", "8.9.2.26"},
		{"2.4.1", "12.1.105", "9.1.0.70"},
		{"2.5.1", "12.4.127", "9.1.0.70"},
		{"2.6.0", "12.4.127", "9.1.0.70"},
		{"2.7.1", "12.6.77", "9.5.1.17"},
		{"2.8.0", "12.8.90", "9.10.2.21"},
		{"2.15.0", "13.2.86", "9.26.0.51"},
	}
}

// firstNVIDIAWheels: before PyTorch 1.13 the CUDA libraries were inside torch's own wheel, and no
// wheels of CUDA 9, 10 or 11.0 to 11.6 and none of cuDNN 7 exist. Looked for on 23 Nov 2026.
const firstNVIDIAWheels = "1.13"

// suiteFact is what a Debian release has. Read from its package lists on 23 Nov 2026.
type suiteFact struct {
	suite, python, pytorch, gcc string
}

// Suites are the Debian releases that the ordinary archive serves, oldest first.
func suiteFacts() []suiteFact {
	return []suiteFact{
		{"bullseye", "3.9", "1.7.1", "10.2"},
		{"bookworm", "3.11", "1.13.1", "12.2"},
		{"trixie", "3.13", "2.6.0", "14.2"},
		{"forky", "3.14", "", ""},
	}
}

// SuiteForPython is the Debian release whose own Python satisfies c, the preferred one if it does;
// "" if none does.
func SuiteForPython(c Constraint, preferred string) (suite, version string) {
	for _, s := range suiteFacts() {
		if c.Match(s.python) && (suite == "" || suite != preferred) {
			suite, version = s.suite, s.python
		}
	}
	return suite, version
}

// kin are versions that were released together. From PyTorch's own list of releases, read in 2024,
// and for 2.5 and later from the releases themselves.
type kin struct{ torch, vision, audio string }

func kinFacts() []kin {
	return []kin{
		{"1.12", "0.13", "0.12"}, {"1.13", "0.14", "0.13"}, {"2.0", "0.15", "2.0"}, {"2.1", "0.16", "2.1"}, {"2.2", "0.17", "2.2"},
		{"2.3", "0.18", "2.3"}, {"2.4", "0.19", "2.4"}, {"2.5", "0.20", "2.5"}, {"2.6", "0.21", "2.6"}, {"2.7", "0.22", "2.7"}, {"2.8", "0.23", "2.8"},
	}
}
