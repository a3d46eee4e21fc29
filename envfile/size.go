package envfile

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/envfile/terms"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// maxSize keeps sums of sizes within an int64.
const maxSize = Size(1) << 60

// ParseSize reads "16GiB", "1.5TB" or "500 MB". A unit is required, and a bare letter is none: G is
// read as 10⁹ by some and as 2³⁰ by others. A fraction is rounded down to whole bytes.
func ParseSize(s string) (Size, error) {
	want := errors.New(`wants a size with a unit, such as "16GiB" or "500MB"`)
	digits := strings.TrimRight(s, "BKMGTPbkmgtpi ")
	unit := strings.TrimSpace(s[len(digits):])
	if len(digits) == 0 || len(digits) > 20 || strings.Trim(digits, "0123456789.") != "" {
		return 0, want
	}
	number, ok := new(big.Rat).SetString(digits)
	if !ok || strings.HasPrefix(digits, ".") || strings.HasSuffix(digits, ".") {
		return 0, want
	}
	for _, u := range terms.Units() {
		if u.Name != unit {
			continue
		}
		number.Mul(number, new(big.Rat).SetInt64(u.Bytes))
		whole := new(big.Int).Quo(number.Num(), number.Denom())
		if !whole.IsInt64() || Size(whole.Int64()) > maxSize {
			return 0, fmt.Errorf("wants a size of at most %s", maxSize)
		}
		return Size(whole.Int64()), nil
	}
	if len(unit) == 1 {
		return 0, hint.With(want, "write "+quote(digits+unit+"iB")+" or "+quote(digits+unit+"B"))
	}
	return 0, want
}

// ParseDuration reads what [time.ParseDuration] reads and also whole days, "7d". Only durations
// above zero are accepted.
func ParseDuration(s string) (time.Duration, error) {
	want := errors.New(`wants a duration, such as "90s", "10m", "12h" or "7d"`)
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
