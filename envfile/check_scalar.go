package envfile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// anything is checked only for what no consumer can take.
func (c *checker) anything(n *keyNode, path []string) {
	if s, ok := n.value.(string); ok && path[0] != "x" {
		c.text(n, s, &keySpec{}, path)
	}
	for _, name := range n.names() {
		c.anything(n.kids[name], append(path[:len(path):len(path)], name))
	}
	for _, e := range n.list {
		c.anything(e, path)
	}
}

// scalar checks the types that are one value.
func (c *checker) scalar(n *keyNode, sp *keySpec, path []string) {
	err := errors.New("")
	s, isString := n.value.(string)
	switch sp.typ {
	case typeText:
		if isString {
			c.text(n, s, sp, path)
			return
		}
	case typeBool:
		if _, ok := n.value.(bool); ok {
			return
		}
	case typeInt:
		if i, ok := n.value.(int64); ok {
			err = inRange(float64(i), 1<<31-1)
		}
	case typeNumber:
		switch v := n.value.(type) {
		case int64:
			err = inRange(float64(v), 1<<31-1)
		case float64:
			err = inRange(v, 1<<31-1)
		}
	case typeSize:
		if isString {
			_, err = ParseSize(s)
		}
	case typeDuration:
		if isString {
			_, err = ParseDuration(s)
		}
	case typeDate:
		if t, ok := n.value.(time.Time); ok {
			err = checkDate(dateText(n.raw(), t))
		} else if isString {
			err = checkDate(s)
		}
	case typeMode:
		_, err = n.mode()
	}
	switch {
	case err == nil:
	case err.Error() == "":
		c.mistyped(n, sp, path)
	default:
		c.fail(n, n.val, firstHint(err), "%s %v%s", keyName(path...), err, instead(n))
	}
}

func inRange(v, most float64) error {
	if v > 0 && v <= most {
		return nil
	}
	return fmt.Errorf("wants a number above 0, at most %d", int(most))
}

// mode reads permission bits: a string of octal digits or TOML's 0o755. A plain 755 would be decimal.
func (n *keyNode) mode() (uint32, error) {
	want := errors.New(`wants permission bits such as "0755" or 0o755`)
	digits, _ := n.value.(string)
	if _, ok := n.value.(int64); ok {
		digits = strings.TrimPrefix(n.raw(), "0o")
		if digits == n.raw() {
			return 0, hint.With(want, "write "+quote("0"+n.raw()))
		}
	}
	bits, err := strconv.ParseUint(strings.ReplaceAll(digits, "_", ""), 8, 32)
	if err != nil || bits > 0o777 || bits == 0 {
		return 0, want
	}
	return uint32(bits), nil
}
