package flat

import (
	"encoding/binary"
	"encoding/json"
	"reflect"
	"testing"
)

type inner struct {
	Name string
	N    int64
}

type all struct {
	B     bool
	S     string
	I     int
	F     float64
	Raw   json.RawMessage
	List  []string
	Empty []string
	Nil   []string
	Map   map[string]inner
	Deep  map[string]map[string][]inner
	P     *inner
	None  *inner
}

func sample() all {
	return all{true, "é", -7, 1.5, json.RawMessage(`{"a":1}`), []string{"x", ""}, []string{}, nil,
		map[string]inner{"a": {"b", 1 << 60}, "": {}}, map[string]map[string][]inner{"k": {"l": {{"m", -1}}}}, &inner{"p", 3}, nil}
}

func TestRoundTrip(t *testing.T) {
	for _, want := range []all{sample(), {}} {
		b, err := Marshal(&want)
		if err != nil {
			t.Fatal(err)
		}
		var got all
		if err := Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
		for range 10 {
			if again, _ := Marshal(&want); string(again) != string(b) {
				t.Fatal("the same value gives other bytes")
			}
		}
	}
}

// What was written from another type, even one of the same size and kinds, is not read.
func TestOtherType(t *testing.T) {
	b, err := Marshal(&inner{"a", 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{&struct{ Name, N string }{}, &struct {
		Name string
		M    int64
	}{}, &all{}} {
		if Unmarshal(b, v) == nil {
			t.Errorf("read into %T", v)
		}
	}
}

func TestRefusedTypes(t *testing.T) {
	type loop struct{ Next *loop }
	for _, v := range []any{&struct{ C chan int }{}, &struct{ small int }{}, &struct{ M map[int]string }{}, &loop{}, inner{}} {
		if _, err := Marshal(v); err == nil {
			t.Errorf("%T is written", v)
		}
	}
}

// Every file that was cut off is refused, and none makes us take much memory.
func TestCutOff(t *testing.T) {
	v := sample()
	b, err := Marshal(&v)
	if err != nil {
		t.Fatal(err)
	}
	for n := range b {
		if Unmarshal(b[:n], new(all)) == nil {
			t.Errorf("the first %d of %d bytes are read", n, len(b))
		}
	}
}

// Every file with one changed bit is refused.
func TestChanged(t *testing.T) {
	v := sample()
	b, err := Marshal(&v)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if Unmarshal(b, new(all)) == nil {
				t.Errorf("bit %d of byte %d is not noticed", bit, i)
			}
			b[i] ^= 1 << bit
		}
	}
}

func BenchmarkChecksum(b *testing.B) {
	buf := make([]byte, 32<<10)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		checksum(buf)
	}
}

func FuzzUnmarshal(f *testing.F) {
	v := sample()
	b, _ := Marshal(&v)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var got all
		if len(b) >= 8 { // what is behind the checksum is what is to be tried
			b = append(binary.LittleEndian.AppendUint64(nil, checksum(b[8:])), b[8:]...)
		}
		if Unmarshal(b, &got) != nil {
			return
		}
		if _, err := Marshal(&got); err != nil {
			t.Error(err)
		}
	})
}
