package deb

import (
	"fmt"
	"strings"
)

// paragraph is one block of "Field: value" lines. Field names are lower-case; a value keeps its
// continuation lines, each without its first blank, joined by "\n".
type paragraph map[string]string

// maxParagraphs and maxControl bound what is parsed as a whole (Release, sources, control files);
// package indexes have their own reader.
const (
	maxControl    = 64 << 20
	maxParagraphs = 100_000
)

// parseControl reads control data: paragraphs divided by blank lines, comment lines with "#".
func parseControl(text string) ([]paragraph, error) {
	if len(text) > maxControl {
		return nil, fmt.Errorf("control data of %d bytes is too long", len(text))
	}
	var out []paragraph
	cur, last := paragraph{}, ""
	var value strings.Builder // of the field last: appending to the map would be quadratic
	endField := func() {
		if last != "" {
			cur[last] = value.String()
		}
		value.Reset()
		last = ""
	}
	for n := 1; text != ""; n++ {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		line = strings.TrimRight(line, "\r")
		switch {
		case strings.TrimSpace(line) == "":
			if endField(); len(cur) > 0 {
				out = append(out, cur)
				cur = paragraph{}
			}
			if len(out) > maxParagraphs {
				return nil, fmt.Errorf("more than %d paragraphs", maxParagraphs)
			}
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if last == "" {
				return nil, fmt.Errorf("line %d: continues nothing", n)
			}
			value.WriteByte('\n')
			value.WriteString(strings.TrimRight(line[1:], " \t"))
		default:
			k, v, ok := strings.Cut(line, ":")
			k = strings.ToLower(k)
			if !ok || k == "" || strings.ContainsAny(k, " \t") {
				return nil, fmt.Errorf("line %d: no field name", n)
			}
			endField()
			if _, twice := cur[k]; twice {
				return nil, fmt.Errorf("line %d: field %q is there twice", n, k)
			}
			last = k
			value.WriteString(strings.TrimSpace(v))
		}
	}
	if endField(); len(cur) > 0 {
		out = append(out, cur)
	}
	return out, nil
}
