package terms

// IsZero reports whether there is no command.
func (c Command) IsZero() bool { return c.Shell == "" && len(c.Args) == 0 }

// Argv gives what to execute for the task name with extra arguments: the list with args appended,
// or sh -c 'LINE "$@"' NAME ARGS for a shell line.
//
// Without args the line runs as it was written: an empty "$@" on a line of its own would be a
// command that succeeds, and hide the exit code of the one before. A line that mentions $@, $* or $1
// places its arguments itself and is not extended.
func (c Command) Argv(name string, args []string) []string {
	if c.Shell == "" {
		return append(append([]string(nil), c.Args...), args...)
	}
	line := c.Shell
	if len(args) > 0 && !placesArgs(line) {
		line = trimBlank(line) + ` "$@"`
	}
	return append([]string{"sh", "-c", line, name}, args...)
}

// placesArgs reports whether a shell line uses $@, $*, $1 … $9 or the same in braces.
func placesArgs(line string) bool {
	for i := 0; i+1 < len(line); i++ {
		if line[i] != '$' {
			continue
		}
		c := line[i+1]
		if c == '{' && i+2 < len(line) {
			c = line[i+2]
		}
		if c == '@' || c == '*' || '1' <= c && c <= '9' {
			return true
		}
	}
	return false
}

// trimBlank cuts blanks and newlines off the end, for what is appended must stay on the last line.
// A blank after a backslash is part of the command.
func trimBlank(s string) string {
	for len(s) > 0 {
		c := s[len(s)-1]
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' || len(s) > 1 && s[len(s)-2] == '\\' {
			break
		}
		s = s[:len(s)-1]
	}
	return s
}
