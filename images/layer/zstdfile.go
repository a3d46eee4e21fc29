package layer

import (
	"errors"
	"os"

	"github.com/klauspost/compress/zstd"
)

// zstdFile is a new compressed file. The encoder is the fastest one: headers are mostly zeros.
type zstdFile struct {
	f *os.File
	*zstd.Encoder
}

func createZstd(path string) (*zstdFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	z, err := zstd.NewWriter(f, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
	if err != nil {
		f.Close()
		return nil, err
	}
	return &zstdFile{f, z}, nil
}

func (z *zstdFile) Close() error { return errors.Join(z.Encoder.Close(), z.f.Close()) }
