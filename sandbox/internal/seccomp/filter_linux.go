package seccomp

// Filter gives the program for the named filters.
func Filter(names []string) ([]byte, error) { return nil, nil }
