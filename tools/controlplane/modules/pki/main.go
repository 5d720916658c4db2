// Command pki writes the keys and certificates of one embedded control plane into a folder.
//
// Every key is ECDSA P-256, so the whole set is ready in milliseconds. It uses nothing but the
// standard library, so neither OpenSSL nor a Python package is needed for it.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func main() {
	directory := flag.String("directory", "", "existing folder that the files are written into")
	addresses := flag.String("addresses", "127.0.0.1", "IP addresses of the API server, comma separated")
	names := flag.String("names", "localhost", "DNS names of the API server, comma separated")
	days := flag.Int("days", 365, "days until the certificates expire")
	flag.Parse()
	if err := write(*directory, split(*addresses), split(*names), *days); err != nil {
		fmt.Fprintln(os.Stderr, "pki:", err)
		os.Exit(1)
	}
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

func write(directory string, addresses, names []string, days int) error {
	if directory == "" {
		return fmt.Errorf("-directory is required")
	}
	serving := x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:    names,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, text := range addresses {
		address := net.ParseIP(text)
		if address == nil {
			return fmt.Errorf("%q is not an IP address", text)
		}
		serving.IPAddresses = append(serving.IPAddresses, address)
	}
	frontProxy := x509.Certificate{
		Subject:     pkix.Name{CommonName: "front-proxy-client"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}

	// The front proxy has an authority of its own: whoever holds a certificate of that authority
	// may name any user, so it must not be the one that signs servers.
	if err := issue(directory, "ca", "apiserver", serving, days); err != nil {
		return err
	}
	if err := issue(directory, "front-proxy-ca", "front-proxy-client", frontProxy, days); err != nil {
		return err
	}
	return writeServiceAccountKeys(directory)
}

// issue writes a new authority and one certificate that it signs.
func issue(directory, authorityName, name string, template x509.Certificate, days int) error {
	ca, err := newAuthority(directory, authorityName, days)
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	_, err = sign(directory, name, template, ca, days)
	return err
}

func newAuthority(directory, name string, days int) (authority, error) {
	return sign(directory, name, x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}, authority{}, days)
}

// sign makes a key and its certificate and writes NAME.crt and NAME.key; an empty authority means
// that the certificate signs itself.
func sign(directory, name string, template x509.Certificate, by authority, days int) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return authority{}, err
	}
	// A clock that was set back by some minutes must not make the certificates invalid.
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().AddDate(0, 0, days)
	if by.key == nil {
		by = authority{certificate: &template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, by.certificate, &key.PublicKey, by.key)
	if err != nil {
		return authority{}, err
	}
	if err := writePEM(directory, name+".crt", "CERTIFICATE", der, 0o644); err != nil {
		return authority{}, err
	}
	if err := writePrivateKey(directory, name+".key", key); err != nil {
		return authority{}, err
	}
	certificate, err := x509.ParseCertificate(der)
	return authority{certificate: certificate, key: key}, err
}

func writeServiceAccountKeys(directory string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := writePEM(directory, "service-account.pub", "PUBLIC KEY", public, 0o644); err != nil {
		return err
	}
	return writePrivateKey(directory, "service-account.key", key)
}

func writePrivateKey(directory, file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(directory, file, "EC PRIVATE KEY", der, 0o600)
}

func writePEM(directory, file, kind string, der []byte, mode os.FileMode) error {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	return os.WriteFile(filepath.Join(directory, file), text, mode)
}
