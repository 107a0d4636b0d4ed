import module from 'node:module';

// Compiled code is kept between starts; the import is dynamic because only what is loaded afterwards profits.
module.enableCompileCache();
const { runCommandLine } = await import('./run.ts');
await runCommandLine(process.argv.slice(2));
