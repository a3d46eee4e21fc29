package gpu

import "testing"

func TestParseSize(t *testing.T) {
	for s, want := range map[string]uint64{
		"1B": 1, "1kB": 1000, "1KiB": 1024, "40GiB": 40 << 30, "1.5GiB": 3 << 29, "1.5 GB": 1500000000, "0.1B": 0, "1.0000000001GiB": 1 << 30, "0.5KiB": 512,
		"1024PiB": 1 << 60, "1024.1PiB": 0, "18446744073709551615B": 0, "99999PiB": 0, "0.999999999999999999PiB": 1<<50 - 1, "1.1234567890123456789GiB": 0,
		"": 0, "GiB": 0, "1": 0, "1G": 0, "1g": 0, ".5GiB": 0, "5.GiB": 0, "1..5GiB": 0, "+1GiB": 0, "1e3GiB": 0, "1GiBGiB": 0, "1.-5GiB": 0, "1_0GiB": 0,
	} {
		got, err := parseSize(s)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %d, %v; want %d", s, got, err, want)
		}
		if err != nil {
			continue
		}
		if again, err := parseSize(exactSize(got)); err != nil || again != got {
			t.Errorf("%s is written %s", s, exactSize(got))
		}
	}
	for n, want := range map[uint64]string{0: "0 MiB", 512 << 20: "512 MiB", 80 << 30: "80.0 GiB", 85520809984: "79.6 GiB", 1<<30 - 1: "1023 MiB"} {
		if got := roundSize(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestParseWait(t *testing.T) {
	for s, want := range map[string]string{"90s": "90s", "10m": "10m", "60m": "1h", "1.5h": "90m", "7d": "168h", "1ms": "1ms", "0": "", "-1m": "", "d": "", "1y": "", "99999d": ""} {
		d, err := parseWait(s)
		got := ""
		if err == nil {
			got = formatWait(d)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
	}
}
