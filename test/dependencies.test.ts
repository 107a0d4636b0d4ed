import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');
const readJson = (file: string) => JSON.parse(readFileSync(path.join(root, file), 'utf8'));

type Locked = {
  version: string;
  integrity?: string;
  resolved?: string;
  link?: boolean;
  hasInstallScript?: boolean;
};
const manifest = readJson('package.json');
const locked = Object.entries<Locked>(readJson('package-lock.json').packages).filter(([place]) => place !== '');
const nameOf = (place: string) => place.split('node_modules/').at(-1) ?? '';

describe('Frozen dependencies', () => {
  test('exactly the packages that run a script when they are installed are allowed to', () => {
    const withScript = locked.filter(([, { hasInstallScript }]) => hasInstallScript === true);
    const allowed = Object.keys(manifest.allowScripts);
    expect(allowed.sort()).toEqual(withScript.map(([place]) => nameOf(place)).sort());
    expect(Object.values(manifest.allowScripts)).toEqual(allowed.map(() => true));
  });

  test('each is named by one version, and the lock file knows it by its hash and by no address', () => {
    const wanted = Object.entries<string>({
      ...manifest.dependencies,
      ...manifest.devDependencies,
      ...manifest.optionalDependencies,
    });
    expect(wanted.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
    const of = new Map(locked.map(([place, entry]) => [place, entry]));
    expect(wanted.filter(([name, version]) => of.get(`node_modules/${name}`)?.version !== version)).toEqual([]);
    expect(locked.filter(([, { integrity = '' }]) => !integrity.startsWith('sha512-')).map(([place]) => place)).toEqual(
      [],
    );
    expect(locked.filter(([, { resolved, link }]) => resolved !== undefined || link === true)).toEqual([]);
  });

  test('a lock file that is incomplete, or holds an address, is refused', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'polaris-sms-lock-'));
    const check = async (packages: object) => {
      const file = path.join(folder, 'package-lock.json');
      await writeFile(file, JSON.stringify({ packages }));
      return spawnSync(process.execPath, ['scripts/check-lock.ts', file], { cwd: root, encoding: 'utf8' });
    };
    const whole = await check({ 'node_modules/a': {} });
    const incomplete = await check({ 'node_modules/a': { optionalDependencies: { b: '1.0.0' } } });
    const tied = await check({ 'node_modules/a': { resolved: 'https://registry.example/a.tgz' } });
    await rm(folder, { recursive: true });
    expect([whole.status, incomplete.status, tied.status]).toEqual([0, 1, 1]);
    expect(incomplete.stderr).toContain('missing from the lock file: b, which a names');
    expect(tied.stderr).toContain('holds an address: node_modules/a');
  });

  test('the bill of materials lists all of them, made without a network', () => {
    const nowhere = 'http://127.0.0.1:1/';
    const env = { ...process.env, npm_config_offline: 'true', npm_config_registry: nowhere, npm_config_proxy: nowhere };
    const bill = JSON.parse(execFileSync('npm', ['run', '--silent', 'sbom'], { cwd: root, env, encoding: 'utf8' }));
    expect([bill.bomFormat, bill.metadata.component.type]).toEqual(['CycloneDX', 'application']);
    const listed: string[] = bill.components.map((each: { purl: string }) => decodeURIComponent(each.purl));
    const purls = locked.map(([place, { version }]) => `pkg:npm/${nameOf(place)}@${version}`);
    expect([...new Set(listed)].sort()).toEqual([...new Set(purls)].sort());
  });
});
