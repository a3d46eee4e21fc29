package envfile

import (
	"errors"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"

	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/near"
)

// The functions below check the text of single values. Each error says what is wanted and is put
// between the key and the value: "`mounts.data.to` wants an absolute path: "data"". Hints say what to
// write instead.

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isAlnum(c byte) bool { return isDigit(c) || isLower(c) || isUpper(c) }

// all reports whether s is not empty and has only bytes that ok takes.
func all(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return s != ""
}

// with extends a class of bytes.
func with(ok func(byte) bool, more string) func(byte) bool {
	return func(c byte) bool { return ok(c) || strings.IndexByte(more, c) >= 0 }
}

// checkWord is for the names that a project gives: of tasks, profiles, mounts, indexes. They are
// words of command lines, names of folders and parts of section names.
func checkWord(s string) error {
	if len(s) > 63 || !all(s, with(isAlnum, "-_")) || !isAlnum(s[0]) {
		return errors.New("wants a name of letters, digits, - and _, at most 63 of them")
	}
	return nil
}

// checkProfileName keeps the name that sections of the lock use for sandbox.local.toml.
func checkProfileName(s string) error {
	if s == "local" {
		return errors.New("wants another name: sandbox.local.toml goes by this one")
	}
	return checkWord(s)
}

func checkEnvName(s string) error {
	if len(s) > 255 || !all(s, with(isAlnum, "_")) || isDigit(s[0]) {
		return errors.New("wants the name of a variable: letters, digits and _, not a digit first")
	}
	return nil
}

// checkImageName is for what is a host name and a component of an image's reference at once.
func checkImageName(s string) error {
	ok := len(s) <= 63 && all(s, func(c byte) bool { return isLower(c) || isDigit(c) || strings.IndexByte("._-", c) >= 0 })
	for i := 0; ok && i < len(s); i++ {
		edge := i == 0 || i == len(s)-1
		if strings.IndexByte("._-", s[i]) >= 0 && (edge || strings.IndexByte("._", s[i+1]) >= 0) {
			ok = false
		}
	}
	if ok {
		return nil
	}
	err := errors.New("wants lower-case letters and digits, with single . _ or - between them, at most 63 in all")
	if low := strings.ToLower(s); low != s && checkImageName(low) == nil {
		return hint.With(err, "write "+quote(low))
	}
	return err
}

// checkPrintable is for names that others give.
func checkPrintable(s string) error {
	if s == "" || len(s) > 255 || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return errors.New("wants printable text")
	}
	return nil
}

// architectures are the ones that images exist for, by their names in references.
func architectures() []string {
	return []string{"amd64", "arm64", "386", "arm/v6", "arm/v7", "arm64/v8", "ppc64le", "riscv64", "s390x", "loong64"}
}

// CheckPlatform tells whether s names a platform; the error goes behind what the value is called.
func CheckPlatform(s string) error {
	arch, ok := strings.CutPrefix(s, "linux/")
	for _, a := range architectures() {
		if ok && a == arch {
			return nil
		}
	}
	err := errors.New(`wants a platform such as "linux/amd64"`)
	common := map[string]string{"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7"}
	guess := common[arch]
	if guess == "" {
		guess = near.Word(arch, architectures())
	}
	if guess == "" {
		return err
	}
	return hint.With(err, "write "+quote("linux/"+guess))
}

// checkInside is for paths inside the sandbox.
func checkInside(s string) error {
	if !strings.HasPrefix(s, "/") {
		return errors.New("wants an absolute path inside the sandbox")
	}
	if path.Clean(s) != s {
		return hint.With(errors.New("wants a path without . .. // and / at its end"), "write "+quote(path.Clean(s)))
	}
	if len(s) > 4095 {
		return errors.New("wants a path of at most 4095 bytes")
	}
	return nil
}

// checkTarget is for places where something is mounted. The kernel's own trees are made afresh for
// every sandbox and must not be covered.
func checkTarget(s string) error {
	if err := checkInside(s); err != nil {
		return err
	}
	for _, top := range []string{"/proc", "/sys", "/dev"} {
		if s == top || strings.HasPrefix(s, top+"/") {
			return errors.New("wants a place outside of /proc, /sys and /dev")
		}
	}
	if s == "/" {
		return errors.New("wants a place below /")
	}
	return nil
}

func checkAt(s string) error {
	if s == "same" {
		return nil
	}
	if err := checkTarget(s); err != nil {
		if !strings.HasPrefix(s, "/") {
			return errors.New(`wants an absolute path inside the sandbox, or "same"`)
		}
		return err
	}
	return nil
}

// checkPath is for paths on the machine, relative to the env file. Whether they leave the project is
// a matter of consent.
func checkPath(s string) error {
	switch {
	case s == "":
		return errors.New("wants a path")
	case len(s) > 4095:
		return errors.New("wants a path of at most 4095 bytes")
	case strings.HasPrefix(s, "-"):
		// It may become an argument of a program, and must not turn into an option there.
		return hint.With(errors.New("wants a path that does not start with -"), "write "+quote("./"+s))
	case strings.HasPrefix(s, "~"):
		return errors.New("wants a path relative to the env file; ~ has no meaning here")
	}
	return nil
}

// checkRoot is for the folder that is mounted: it lies at, above or below the env file's.
func checkRoot(s string) error {
	if err := checkPath(s); err != nil {
		return err
	}
	if path.IsAbs(s) {
		return errors.New(`wants a path relative to the env file, such as ".."`)
	}
	return nil
}

// checkInProject is for what is read or written below the project.
func checkInProject(s string) error {
	if err := checkPath(s); err != nil {
		return err
	}
	if path.IsAbs(s) || leaves(s) {
		return errors.New("wants a path below the project")
	}
	return nil
}

// leaves reports whether a relative path has its end outside of where it starts.
func leaves(s string) bool {
	s = path.Clean(s)
	return s == ".." || strings.HasPrefix(s, "../")
}

// checkWorkdir is for folders inside: absolute, or relative to where the project is mounted.
func checkWorkdir(s string) error {
	if path.IsAbs(s) {
		return checkInside(s)
	}
	return checkInProject(s)
}

// checkBindPath is for paths in the user's own files.
func checkBindPath(s string) error {
	if path.IsAbs(s) || strings.HasPrefix(s, "~/") {
		return nil
	}
	return errors.New("wants an absolute path, or one that starts with ~/")
}

func checkSecretAs(s string) error {
	if s == "env" {
		return nil
	}
	if checkTarget(s) != nil {
		return errors.New(`wants "env", or an absolute path for a file`)
	}
	return nil
}

// checkURL is for addresses in files that are committed.
func checkURL(s string) error {
	if err := checkUserURL(s); err != nil {
		return err
	}
	if u, _ := url.Parse(s); u.User != nil {
		return hint.With(errors.New("wants an address without a user or password"), "credentials belong in the user's configuration")
	}
	return nil
}

func checkUserURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsAny(s, " \t\n") {
		return errors.New("wants an address that starts with https:// or http://")
	}
	return nil
}

func checkSHA256(s string) error {
	hex := strings.TrimPrefix(s, "sha256:")
	if len(hex) == 64 && all(hex, with(isDigit, "abcdef")) {
		return nil
	}
	err := errors.New("wants 64 hexadecimal digits in lower case")
	if low := strings.ToLower(s); low != s && checkSHA256(low) == nil {
		return hint.With(err, "write it in lower case")
	}
	return err
}

func checkUser(s string) error {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil && all(s, isDigit) {
		if n >= 1<<32-2 {
			return errors.New("wants a uid below 4294967294")
		}
		return nil
	}
	if len(s) > 32 || !all(s, with(isAlnum, "._-")) || s[0] == '-' || isDigit(s[0]) {
		return errors.New(`wants "image", "root", "me", or a name or uid of the image`)
	}
	return nil
}
