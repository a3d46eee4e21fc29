package gpu

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/internal/hint"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]Request{
		"none":                     {None: true},
		"all":                      {All: true},
		"2":                        {Count: 2},
		" 2 , share=yes ":          {Count: 2, Share: true},
		"GPU-8f3a":                 {IDs: []string{"GPU-8f3a"}},
		"gpu-8F3A":                 {IDs: []string{"GPU-8f3a"}},
		"GPU-8f3a,GPU-8F3A,GPU-90": {IDs: []string{"GPU-8f3a", "GPU-90"}},
		"MIG-41c0fb":               {IDs: []string{"MIG-41c0fb"}},
		"MIG-GPU-8f3a0000-0000-4000-8000-000000000000/7/0": {IDs: []string{"MIG-GPU-8f3a0000-0000-4000-8000-000000000000/7/0"}},
		"0000:3b:00.0":       {IDs: []string{"0000:3b:00.0"}},
		"3b:00.0":            {IDs: []string{"0000:3b:00.0"}},
		"3B:00.0":            {IDs: []string{"0000:3b:00.0"}},
		"00000000:3B:00.0":   {IDs: []string{"0000:3b:00.0"}},
		"10000:01:1f.7":      {IDs: []string{"10000:01:1f.7"}},
		"index=0":            {IDs: []string{"index=0"}},
		"index=0,index=3":    {IDs: []string{"index=0", "index=3"}},
		"1,min-memory=40GiB": {Count: 1, MinFree: 40 << 30},
		"min-memory=40GiB":   {Count: 1, MinFree: 40 << 30},
		"1,min-memory=1.5GB": {Count: 1, MinFree: 1500000000},
		"2,min-total=80GiB,name=H100,cc>=9.0,same-numa": {Count: 2, MinTotal: 80 << 30, Name: "H100", CC: ">=9.0", SameNUMA: true},
		"name=RTX 4090":                       {Count: 1, Name: "RTX 4090"},
		"cc>=8.0,<10.0":                       {Count: 1, CC: ">=8.0,<10.0"},
		"cc>=8,<10,2":                         {Count: 2, CC: ">=8.0,<10.0"},
		"cc=8.6":                              {Count: 1, CC: "==8.6"},
		"cc==8.6":                             {Count: 1, CC: "==8.6"},
		"cc!=8.6":                             {Count: 1, CC: "!=8.6"},
		"cc~=8.0":                             {Count: 1, CC: "~=8.0"},
		"cc>8.0,cc<=9.0":                      {Count: 1, CC: ">8.0,<=9.0"},
		"1,mig=1g.10gb":                       {Count: 1, MIG: "1g.10gb"},
		"mig=1C.3G.20GB":                      {Count: 1, MIG: "1c.3g.20gb"},
		"mig=1g.10gb+me":                      {Count: 1, MIG: "1g.10gb+me"},
		"all,mig=1g.10gb":                     {All: true, MIG: "1g.10gb"},
		"1,share=yes":                         {Count: 1, Share: true},
		"1,share":                             {Count: 1, Share: true},
		"1,share=no":                          {Count: 1, Alone: true},
		"1,wait=10m":                          {Count: 1, Wait: 10 * time.Minute},
		"1,wait=7d":                           {Count: 1, Wait: 7 * 24 * time.Hour},
		"1,caps=compute+utility+video":        {Count: 1, Caps: []Capability{Compute, Utility, Video}},
		"1,caps=video+compute":                {Count: 1, Caps: []Capability{Compute, Video}},
		"1,caps=all":                          {Count: 1, Caps: Capabilities()},
		"GPU-8f3a,MIG-41c0,wait=1h,share=yes": {IDs: []string{"GPU-8f3a", "MIG-41c0"}, Wait: time.Hour, Share: true},
		"MIG-41c0,mig=1g.10gb":                {IDs: []string{"MIG-41c0"}, MIG: "1g.10gb"},
	} {
		want.Source = "--gpus"
		got, err := Parse(in)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v\nwant %+v", in, got, err, want)
			continue
		}
		if again, err := Parse(got.String()); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%q is written %q, which reads %+v, %v", in, got, again, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string][2]string{
		"":                        {`--gpus "": a term is missing`, "--gpus 1"},
		"1,,2":                    {"a term is missing", ""},
		"0":                       {"a bare number says how many, and that is none", "--gpus index=0 the first"},
		"0,3":                     {"that is none", "index=0"},
		"1,3":                     {"two counts: 1 and 3", "--gpus index=1,index=3"},
		"1025":                    {"more than 1024 GPUs", ""},
		"99999999999999999999":    {"more than 1024 GPUs", ""},
		"none,1":                  {"none and something else", "stands alone"},
		"none,share=yes":          {"none and something else", ""},
		"none,share=no":           {"none and something else", ""},
		"all,2":                   {"all and a number of them", ""},
		"all,GPU-8f3a":            {"all and a number of them", ""},
		"2,GPU-8f3a":              {"a count and the names of GPUs", ""},
		"GPU-8f3a,mig=1g.10gb":    {"mig and the name of a whole GPU", ""},
		"1,min-memroy=40GiB":      {"unknown word min-memroy", "meant: min-memory=40GiB?"},
		"1,shrae=yes":             {"unknown word shrae", "meant: share=yes?"},
		"device=0":                {"unknown word device", "meant: index=0 or GPU-8f3a?"},
		"count=2":                 {"unknown word count", "--gpus 2"},
		"capabilities=utility":    {"unknown word capabilities", "caps=compute+utility"},
		"total-memory=40GiB":      {"unknown word total-memory", "min-total=80GiB"},
		"8f3a":                    {"unknown word 8f3a", "meant: GPU-8f3a?"},
		"H100":                    {"unknown word H100", "meant: name=H100?"},
		"GPU-xyz":                 {"no UUID, nor the beginning of one: GPU-xyz", "sandbox gpu list"},
		"GPU-":                    {"no UUID", ""},
		"3b:00":                   {"unknown word 3b:00", ""},
		"=":                       {"unknown word =", ""},
		"<10.0":                   {"unknown word <10.0", ""},
		"1,min-memory":            {"min-memory wants a value after one =", "min-memory=40GiB"},
		"1,min-memory>=40GiB":     {"min-memory wants a value after one =", "min-memory=40GiB"},
		"1,min-memory=40G":        {"min-memory: wants a size with a unit", "min-memory=40GiB"},
		"1,min-memory=-1GiB":      {"min-memory: wants a size", ""},
		"1,min-memory=0GiB":       {"min-memory: wants a size", ""},
		"1,min-memory=9999PiB":    {"min-memory: wants a size of at most 1024PiB", ""},
		"1,min-total=1e3GiB":      {"min-total: wants a size", ""},
		"share=yes,share=no":      {"share is there twice", ""},
		"wait=0s":                 {"wait: wants a duration", "wait=10m"},
		"wait=soon":               {"wait: wants a duration", ""},
		"cc":                      {"cc has no value", "cc>=8.0"},
		"cc>=ada":                 {"cc: wants a compute capability", ""},
		"cc>=8.0,<":               {"cc: wants a compute capability", ""},
		"mig=big":                 {"mig: wants a MIG profile", "mig=1g.10gb"},
		"mig=1g":                  {"mig: wants a MIG profile", ""},
		"caps=computer":           {"no part of the driver: computer (compute?)", ""},
		"caps=":                   {"caps: no part of the driver", ""},
		"index=x":                 {"index: wants a number", "index=0"},
		"name=":                   {"name: wants a part", ""},
		"name=\x1b[2J":            {"name: wants a part", ""},
		"share=maybe":             {"share: wants yes or no", ""},
		"\x1b]0;x\x07":            {`unknown word "\x1b]0;x\a"`, ""},
		strings.Repeat("1,", 4e3): {"the value has 8000 bytes", ""},
	} {
		_, err := Parse(in)
		if err == nil {
			t.Errorf("%q is read", in)
			continue
		}
		if !strings.Contains(err.Error(), want[0]) || !strings.HasPrefix(err.Error(), "--gpus") {
			t.Errorf("%q: %v\nwant %s", in, err, want[0])
		}
		if hints := strings.Join(hint.Of(err), "\n"); !strings.Contains(hints, want[1]) {
			t.Errorf("%q: hint %q, want %q", in, hints, want[1])
		}
		if !errors.As(err, new(*SyntaxError)) {
			t.Errorf("%q: %T is not told from what a machine lacks", in, err)
		}
		if strings.ContainsFunc(err.Error()+strings.Join(hint.Of(err), ""), unprintable) {
			t.Errorf("%q: a terminal would obey %q", in, err)
		}
	}
	if _, err := Parse(strings.Repeat("GPU-a", 1) + strings.Repeat(",GPU-b", 3)); err != nil {
		t.Error(err)
	}
	var many []string
	for i := range maxIDs + 1 {
		many = append(many, "index="+strings.Repeat("0", 1)+string(rune('0'+i/10))+string(rune('0'+i%10)))
	}
	if _, err := Parse(strings.Join(many, ",")); err == nil {
		t.Error("any number of IDs is read")
	}
}

func TestJoin(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"1", "2", "3"},
		{"GPU-8f3a", "GPU-90", "GPU-8f3a,GPU-90"},
		{"GPU-8f3a", "GPU-8f3a", "GPU-8f3a"},
		{"GPU-8f3a", "all", "all"},
		{"all", "2", "all"},
		{"1,name=H100", "1", "2,name=H100"},
		{"1,name=H100", "1,name=H100,share=yes", "2,name=H100,share=yes"},
		{"1,wait=1m", "1,wait=5m", "2,wait=5m"},
		{"1,caps=compute", "1,caps=video", "2,caps=compute+video"},
		{"1,same-numa", "1", "2,same-numa"},
		{"none", "none", "none"},
		{"1,name=H100", "1,name=A100", "two values for name"},
		{"1,min-memory=1GiB", "1,min-memory=2GiB", "two values for min-memory"},
		{"1,cc>=8.0", "1,cc>=9.0", "two values for cc"},
		{"1", "none", "none and some"},
		{"1", "GPU-8f3a", "a count and the names"},
		{"1000", "1000", "too many"},
		{"1,share=no", "1", "2,share=no"},
		{"1,share=no", "1,share=yes", "shared and not"},
	} {
		a, errA := Parse(c.a)
		b, errB := Parse(c.b)
		got, err := a.Join(b)
		switch {
		case errA != nil || errB != nil:
			t.Error(errA, errB)
		case err != nil && (!strings.Contains(err.Error(), c.want) || len(hint.Of(err)) == 0):
			t.Errorf("%s + %s: %v %q, want %s", c.a, c.b, err, hint.Of(err), c.want)
		case err == nil && got.String() != c.want:
			t.Errorf("%s + %s: %s, want %s", c.a, c.b, got, c.want)
		}
		if back, backErr := b.Join(a); (err == nil) != (backErr == nil) || err == nil && len(back.IDs) != len(got.IDs) {
			t.Errorf("%s + %s is not %s + %s", c.a, c.b, c.b, c.a)
		}
	}
	one, _ := Parse("1")
	if got, err := (Request{}).Join(one); err != nil || got.String() != "1" {
		t.Error(got, err)
	}
}

// What an env file can ask for, a request can say; the caller copies the fields.
func TestEnvFileTerms(t *testing.T) {
	r := Request{Count: 4, MinFree: 16 << 30, MinTotal: 24 << 30, CC: "8.0", Name: "a100", MIG: "1g.10gb", Share: true, Wait: time.Minute, Caps: []Capability{"all"},
		Optional: true, Source: "sandbox.toml: gpu"}
	if got := r.String(); got != "4,min-memory=16GiB,min-total=24GiB,name=a100,cc>=8.0,mig=1g.10gb,share=yes,wait=1m,caps=compute+utility+video+graphics+display+ngx+compat32" {
		t.Error(got)
	}
	if got := (Request{}).Capabilities(); !reflect.DeepEqual(got, []Capability{Compute, Utility}) {
		t.Error(got)
	}
	_, err := Request{Count: 1, Name: "B\x1b[31m", Source: "sandbox.toml: gpu"}.Select(h100x8(), SelectOptions{})
	if err == nil || !strings.HasPrefix(err.Error(), "sandbox.toml: gpu (1,name=") || strings.ContainsFunc(err.Error(), unprintable) {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"none", "all", "2", "0,3", "GPU-8f3a", "MIG-41c0fb", "MIG-GPU-8f/7/0", "0000:3b:00.0", "3B:00.0", "00000000:3B:00.0", "1,min-memory=40GiB",
		"2,min-total=80GiB,name=H100,cc>=9.0,same-numa", "1,mig=1g.10gb", "1,share=yes", "1,wait=10m", "1,caps=compute+utility+video", "index=0", "cc>=8.0,<10.0", "name=\xff", "wait=1.5h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			if strings.ContainsFunc(err.Error()+strings.Join(hint.Of(err), ""), unprintable) || len(err.Error()) > 3000 {
				t.Errorf("%q: %q", s, err)
			}
			return
		}
		if !r.Wants() && !r.None || r.Count > maxCount || len(r.IDs) > maxIDs {
			t.Errorf("%q: %+v", s, r)
		}
		again, err := Parse(r.String())
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%q is written %q, which reads %+v, %v; want %+v", s, r, again, err, r)
		}
		for _, inv := range []Inventory{h100x8(), sliced(), {}} {
			picks, err := r.Select(inv, SelectOptions{})
			if err != nil && strings.ContainsFunc(err.Error(), unprintable) {
				t.Errorf("%q: %q", s, err)
			}
			if r.Count > 0 && err == nil && len(picks) != r.Count {
				t.Errorf("%q: %d picks", s, len(picks))
			}
		}
	})
}
