package envfile

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// checkVersion is for one version, without operators.
func checkVersion(s string) bool {
	return len(s) <= 64 && all(s, with(isAlnum, ".+!-_")) && isDigit(s[0]) && isAlnum(s[len(s)-1]) && !strings.Contains(s, "..")
}

// constraint splits ">=1.2,<2" and gives every version to ok.
func constraint(s string, ok func(string) bool) bool {
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		for _, op := range []string{"==", ">=", "<=", "!=", "~=", ">", "<"} {
			if rest, found := strings.CutPrefix(part, op); found {
				part = strings.TrimSpace(rest)
				break
			}
		}
		if !ok(part) {
			return false
		}
	}
	return true
}

func checkTool(s string) error {
	prefix := func(v string) bool { return checkVersion(strings.TrimSuffix(v, ".*")) }
	if s == "auto" || s == "none" || constraint(s, prefix) {
		return nil
	}
	return errors.New(`wants a version such as "3.11", "==2.5.1", ">=3.10,<3.13", or "auto"`)
}

func isCapability(s string) bool {
	major, minor, ok := strings.Cut(s, ".")
	return ok && all(major, isDigit) && all(minor, isDigit) && len(s) <= 5
}

func checkCapability(s string) error {
	if !isCapability(s) {
		return errors.New(`wants a compute capability such as "8.0"`)
	}
	return nil
}

func checkCompute(s string) error {
	if !constraint(s, isCapability) {
		return errors.New(`wants a compute capability such as ">=8.0" or ">=7.0,<9.0"`)
	}
	return nil
}

func checkMIG(s string) error {
	profile := strings.TrimSuffix(s, "+me")
	slices, memory, ok := strings.Cut(profile, "g.")
	if before, after, split := strings.Cut(slices, "c."); split && all(before, isDigit) {
		slices = after
	}
	gb, unit := strings.CutSuffix(memory, "gb")
	if !ok || !unit || !all(slices, isDigit) || !all(gb, isDigit) || len(s) > 20 {
		return errors.New(`wants a MIG profile such as "1g.10gb"`)
	}
	return nil
}

// checkRequires takes ">=1.2" and ">=1.2.3".
func checkRequires(s string) error {
	if _, err := parseMinimum(s); err != nil {
		return errors.New(`wants the lowest version that will do, such as ">=1.2"`)
	}
	return nil
}

func isAptName(s string) bool {
	return len(s) >= 2 && len(s) <= 128 && isAlnum(s[0]) && all(s, func(c byte) bool {
		return isLower(c) || isDigit(c) || strings.IndexByte("+.-", c) >= 0
	})
}

func checkAptPackage(s string) error {
	name, version, has := strings.Cut(s, "=")
	if !isAptName(name) || has && (!all(version, with(isAlnum, ".+:~-")) || !isDigit(version[0])) {
		return errors.New(`wants a Debian package, such as "git" or "git=1:2.39.5-0"`)
	}
	return nil
}

func checkSuite(s string) error {
	if !all(s, with(isAlnum, "._-/")) || len(s) > 100 || strings.HasPrefix(s, "-") || strings.Contains(s, "..") {
		return errors.New(`wants a name as in an archive, such as "trixie" or "main"`)
	}
	return nil
}

func isPyName(s string) bool {
	return all(s, with(isAlnum, "._-")) && isAlnum(s[0]) && isAlnum(s[len(s)-1]) && len(s) <= 128
}

func checkPyName(s string) error {
	if !isPyName(s) {
		return errors.New("wants the name of a Python package")
	}
	return nil
}

// checkRequirement takes what starts like a PEP 508 requirement; the resolver reads the rest. An
// option, as requirements files may hold, would reach the resolver's command line.
func checkRequirement(s string) error {
	end := 0
	for end < len(s) && strings.IndexByte(" ([<>=!~;@", s[end]) < 0 {
		end++
	}
	rest := strings.TrimSpace(s[end:])
	if extras, after, ok := strings.Cut(rest, "]"); ok && strings.HasPrefix(extras, "[") {
		rest = strings.TrimSpace(after)
	}
	if isPyName(s[:end]) && (rest == "" || strings.IndexByte("(<>=!~;@", rest[0]) >= 0) && !strings.ContainsAny(s, "\n\t") {
		return nil
	}
	err := errors.New(`wants a requirement such as "numpy>=1.26"`)
	if strings.HasPrefix(s, "-r") {
		return hint.With(err, "files belong in `python.requirements`")
	}
	return err
}

// checkDate takes a day or a time with its zone.
func checkDate(s string) error {
	if _, err := time.Parse(time.DateOnly, s); err == nil {
		return nil
	}
	if _, err := time.Parse(time.RFC3339, s); err == nil {
		return nil
	}
	return errors.New("wants a date such as 2024-09-01, or a time with its zone such as 2024-09-01T12:00:00Z")
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && s[0] != '0' && all(s, isDigit)
}

// splitPublish takes [ADDR:]HOST:PORT apart.
func splitPublish(s string) (addr, host, port string, err error) {
	want := errors.New(`wants [ADDR:]HOST:PORT, such as "8080:80" or "127.0.0.1:8080:80"`)
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", "", want
	}
	rest, port := s[:i], s[i+1:]
	if j := strings.LastIndexByte(rest, ':'); j >= 0 {
		addr, rest = rest[:j], rest[j+1:]
		bare := addr
		if strings.HasPrefix(addr, "[") && strings.HasSuffix(addr, "]") {
			bare = addr[1 : len(addr)-1]
		}
		ip, err := netip.ParseAddr(bare)
		if err != nil || ip.Is6() != (bare != addr) {
			return "", "", "", want
		}
	}
	if !isPort(rest) || !isPort(port) {
		return "", "", "", want
	}
	return addr, rest, port, nil
}

func checkPublish(s string) error {
	_, _, _, err := splitPublish(s)
	return err
}

// isLoopback reports whether a published port can be reached from this machine only. Without an
// address it can.
func isLoopback(addr string) bool {
	ip, err := netip.ParseAddr(strings.Trim(addr, "[]"))
	return addr == "" || err == nil && ip.Unmap().IsLoopback()
}

func isHostName(s string) bool {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		ip, err := netip.ParseAddr(s[1 : len(s)-1])
		return err == nil && ip.Is6() && ip.Zone() == ""
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > 63 || !all(label, with(isAlnum, "-_")) || !isAlnum(label[0]) || !isAlnum(label[len(label)-1]) {
			return false
		}
	}
	return len(s) <= 253
}

func checkHostPort(s string) error {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || !isHostName(s[:i]) || !isPort(s[i+1:]) {
		return errors.New(`wants "HOST:PORT", such as "example.org:443"`)
	}
	return nil
}

// checkRegistryHost takes HOST and HOST:PORT.
func checkRegistryHost(s string) error {
	if isHostName(s) || checkHostPort(s) == nil {
		return nil
	}
	return errors.New(`wants a host, such as "registry.example.org" or "localhost:5000"`)
}

// checkCDI takes the qualified names of the Container Device Interface, VENDOR/CLASS=NAME.
func checkCDI(s string) error {
	kind, name, ok := strings.Cut(s, "=")
	vendor, class, ok2 := strings.Cut(kind, "/")
	if !ok || !ok2 || len(s) > 255 || !isHostName(vendor) || !all(class, with(isAlnum, "_-.")) || !all(name, with(isAlnum, "_-.:")) || !isAlnum(name[0]) {
		return errors.New(`wants a CDI name, such as "vendor.com/class=name"`)
	}
	return nil
}
