package gpu

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/4cc2e759/sandbox/internal/near"
)

// units of sizes, largest first: those of the env file.
var units = []struct {
	name  string
	bytes uint64
}{
	{"PiB", 1 << 50}, {"PB", 1e15}, {"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9},
	{"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}, {"B", 1},
}

const maxSize = 1 << 60

// parseSize reads "40GiB" and "1.5TB". A unit is required, for G is 10⁹ to some and 2³⁰ to others.
func parseSize(s string) (uint64, error) {
	want := errors.New("wants a size with a unit, such as 40GiB")
	digits := strings.TrimRight(s, "BKMGTPkibt ")
	unit := strings.TrimSpace(s[len(digits):])
	whole, part, point := strings.Cut(digits, ".")
	n, err := strconv.ParseUint(whole, 10, 64)
	var tenths uint64
	if point && err == nil && len(part) <= 18 {
		tenths, err = strconv.ParseUint(part, 10, 64)
	}
	if err != nil || len(part) > 18 {
		return 0, want
	}
	for _, u := range units {
		if u.name != unit {
			continue
		}
		over, total := bits.Mul64(n, u.bytes)
		// The fraction in bytes, rounded down: 1.5GB is 1 GB and 5 tenths of one.
		scale := uint64(1)
		for range part {
			scale *= 10
		}
		high, low := bits.Mul64(tenths, u.bytes)
		rest, _ := bits.Div64(high, low, scale)
		total += rest
		switch {
		case over > 0 || total > maxSize || rest > maxSize:
			return 0, fmt.Errorf("wants a size of at most %s", exactSize(maxSize))
		case total == 0:
			return 0, want
		}
		return total, nil
	}
	return 0, want
}

// exactSize writes a size so that [parseSize] reads the same number of bytes.
func exactSize(n uint64) string {
	for _, u := range units {
		if n != 0 && n%u.bytes == 0 {
			return strconv.FormatUint(n/u.bytes, 10) + u.name
		}
	}
	return "0B"
}

// roundSize is for people: "39.6 GiB".
func roundSize(n uint64) string {
	if n < 1<<30 {
		return strconv.FormatUint(n>>20, 10) + " MiB"
	}
	return strconv.FormatFloat(float64(n/(1<<30/10))/10, 'f', 1, 64) + " GiB"
}

// parseWait reads what [time.ParseDuration] reads and whole days, "7d".
func parseWait(s string) (time.Duration, error) {
	want := errors.New("wants a duration, such as 90s, 10m or 12h")
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil || n == 0 || n > 36500 {
			return 0, want
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, want
	}
	return d, nil
}

// formatWait is "10m", not "10m0s".
func formatWait(d time.Duration) string {
	for _, u := range []struct {
		name string
		long time.Duration
	}{{"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if d%u.long == 0 {
			return strconv.FormatInt(int64(d/u.long), 10) + u.name
		}
	}
	return d.String()
}

func parseYes(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "yes", "true", "on", "1":
		return true, nil
	case "no", "false", "off", "0":
		return false, nil
	}
	return false, errors.New("wants yes or no")
}

// parseProfile reads "1g.10gb", "1c.3g.20gb" and "1g.10gb+me".
func parseProfile(s string) (string, error) {
	s = strings.ToLower(s)
	body, extra, more := strings.Cut(s, "+")
	parts := strings.Split(body, ".")
	units := []string{"g", "gb"}
	if len(parts) == 3 {
		units = []string{"c", "g", "gb"}
	}
	ok := len(parts) == len(units) && len(s) <= 24 && (!more || extra != "" && strings.Trim(extra, "abcdefghijklmnopqrstuvwxyz.") == "")
	for i := 0; ok && i < len(parts); i++ {
		number, found := strings.CutSuffix(parts[i], units[i])
		ok = found && number != "" && strings.Trim(number, "0123456789") == ""
	}
	if !ok {
		return "", errors.New("wants a MIG profile such as 1g.10gb")
	}
	return s, nil
}

// parseCaps reads "compute+utility"; what comes back is in the order of [Capabilities].
func parseCaps(s string) ([]Capability, error) {
	names := []string{"all"}
	for _, c := range Capabilities() {
		names = append(names, string(c))
	}
	var r Request
	for name := range strings.SplitSeq(s, "+") {
		name = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(names, name) {
			if word := near.Word(name, names); word != "" {
				return nil, fmt.Errorf("no part of the driver: %s (%s?)", shown(name), word)
			}
			return nil, fmt.Errorf("no part of the driver: %s (they are %s)", shown(name), strings.Join(names, ", "))
		}
		r.Caps = append(r.Caps, Capability(name))
	}
	return r.Capabilities(), nil
}

// shown is text of somebody else as it may be printed: short, and nothing that a terminal would obey.
func shown(s string) string {
	const most = 200
	cut := ""
	if len(s) > most {
		s, cut = s[:most], "…"
	}
	if s == "" || strings.ContainsFunc(s, unprintable) {
		return strings.ReplaceAll(strconv.Quote(s), string(unicode.ReplacementChar), `\ufffd`) + cut
	}
	return s + cut
}

// unprintable holds for the replacement character, too: it stands for bytes that are no text.
func unprintable(c rune) bool { return !unicode.IsPrint(c) || c == unicode.ReplacementChar }

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdefABCDEF-") == "" && strings.ContainsAny(s, "0123456789abcdefABCDEF")
}
